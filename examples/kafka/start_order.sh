#!/bin/sh
# Start an order and approve it with nothing but Kafka's own tools.
#   sh start_order.sh 127.0.0.1:9092 perdure order-7
# A line is: headers, a tab, the key, a tab, the value.
set -eu
kafka=$1 namespace=$2 order=$3
{
    printf 'content-type:application/json,perdure-command-id:start/%s\t%s\t%s\n' "$order" "$order" \
        "{\"command\": \"StartWorkflow\", \"name\": \"order_workflow\", \"input\": {\"id\": \"$order\"}}"
    printf 'content-type:application/json,perdure-command-id:approve/%s\t%s\t%s\n' "$order" "$order" \
        '{"command": "RaiseEvent", "name": "approved", "data": {"by": "shell"}}'
} | kafka-console-producer.sh --bootstrap-server "$kafka" --topic "$namespace.instances" \
    --property parse.headers=true --property parse.key=true
