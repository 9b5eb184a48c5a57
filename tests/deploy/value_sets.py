"""Values as operators would give them, by name; together they set everything that the chart has."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Values = dict[str, Any]

LEAST: Values = {
    "image": {"repository": "registry.example/orders", "tag": "1.4.2"},
    "app": "orders:app",
    "kafka": {"servers": ["kafka:9092"]},
    "cassandra": {"hosts": ["cassandra:9042"], "datacenter": "dc1"},
    "gateway": {"existingSecret": "gateway-token"},
}


def over(first: Values, *more: Values) -> Values:
    """`more` laid over `first`, maps in each other, as Helm lays values files."""
    result = deepcopy(first)
    for each in more:
        for name, value in each.items():
            both = isinstance(value, dict) and isinstance(result.get(name), dict)
            result[name] = over(result[name], value) if both else deepcopy(value)
    return result


SECURED = over(
    LEAST,
    {
        "kafka": {
            "servers": ["kafka-0.kafka:9093", "kafka-1.kafka:9094"],
            "tls": {
                "enabled": True, "existingSecret": "kafka-files", "certificateKey": "tls.crt", "keyKey": "tls.key",
                "keyPasswordKey": "key-password",
            },
            "sasl": {"existingSecret": "kafka-user"},
        },
        "cassandra": {
            "tls": {
                "enabled": True, "existingSecret": "cassandra-files", "certificateKey": "tls.crt", "keyKey": "tls.key",
                "keyPasswordKey": "key-password",
            },
            "auth": {"existingSecret": "cassandra-user"},
        },
        "services": {"timer": {"credentials": {"kafka": "timer-kafka", "cassandra": "timer-cassandra"}}},
        "bootstrap": {"credentials": {"kafka": "bootstrap-kafka", "kafkaTls": "bootstrap-files"}},
        "upgrade": {"enabled": True, "credentials": {"kafka": "upgrade-kafka", "kafkaTls": "upgrade-files"}},
        "gateway": {
            "tokens": {"existingSecret": "named-tokens"}, "requestsPerSecond": 50, "requestsBurst": 200,
            "bodiesBytesMax": 16777216, "headSeconds": 2.5, "bodySeconds": 20,
            "tls": {"existingSecret": "gateway-files", "keyPasswordKey": "key-password", "clientCaSecret": "clients"},
        },
        "otlp": {
            "endpoint": "https://collector.telemetry", "headersSecret": "otlp-headers", "caSecret": "otlp-ca",
            "sampler": "parentbased_traceidratio", "samplerArg": "0.1", "resourceAttributes": "team=orders",
        },
        "schemaRegistry": {
            "url": "https://registry.schemas:8443/apis/ccompat/v7", "existingSecret": "registry-user", "caSecret": "registry-ca",
        },
        "retention": {"ages": {"COMPLETED": "30d", "FAILED": "90d"}, "historyHours": 0.5},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    },
)  # fmt: skip

TWO_POOLS: Values = {
    "workers": {
        "default": {"replicas": 4},
        "mail": {
            "queue": "mail", "app": "mail:app", "image": {"repository": "registry.example/mail", "tag": "7"},
            "threads": 64, "drainSeconds": 90.5, "env": {"SMTP_HOST": "smtp.mail"}, "tmpSize": "1Gi",
            "secretEnv": {"SMTP_PASSWORD": {"secret": "smtp", "key": "password"}},
            "mounts": [
                {"name": "templates", "path": "/etc/mail", "configMap": "mail-templates"},
                {"name": "dkim", "path": "/etc/dkim", "secret": "dkim"},
            ],
            "egress": [{"ports": [{"protocol": "TCP", "port": 587}]}],
            "podAnnotations": {"example.com/owner": "mail"}, "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "batch", "operator": "Exists"}], "priorityClassName": "low",
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        },
    },
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"annotations": {"example.com/team": "orders"}},
}  # fmt: skip

POOLS = over(LEAST, TWO_POOLS)
KEDA = over(SECURED, TWO_POOLS, {"autoscaling": {"enabled": True, "keda": {"enabled": True}}})
HPA = over(POOLS, {"autoscaling": {"enabled": True}})
SUBSCRIBED = over(
    KEDA,
    {
        "services": {"subscriber": {"enabled": True, "replicas": 2}},
        "subscriptions": {
            "inline": {
                "orders": {
                    "topic": "shop.orders", "workflow": "order_workflow", "begin": "beginning",
                    "instance_id": "join('-', ['order', value.id])", "when": 'value.amount > `0` && value.state != "void"',
                },
                "approvals_2": {
                    "topic": "shop.approvals", "event": "approved", "instance_id": "key", "format": "avro",
                    "schema": '{"type": "record", "name": "Ä", "fields": [{"name": "by", "type": "string"}]}',
                },
            },
            "watched": {"returns": {"topic": "shop.returns"}},
        },
    },
)  # fmt: skip
FOLLOWED = over(
    LEAST,
    {
        "services": {"subscriber": {"enabled": True}},
        "subscriptions": {"existingConfigMap": "shop-subscriptions", "key": "shop.toml"},
        "autoscaling": {"enabled": True, "keda": {"enabled": True}},
    },
)
EXPOSED = over(
    LEAST,
    {
        "gateway": {
            "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
            "ingress": {
                "enabled": True, "className": "nginx", "host": "workflows.example", "tlsSecret": "workflows-tls",
                "annotations": {"example.com/timeout": "120"},
            },
        },
        "networkPolicy": {"gatewayFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]},
    },
)  # fmt: skip
BARE = over(
    LEAST,
    {
        "networkPolicy": {"enabled": False},
        "bootstrap": {"enabled": False},
        "metrics": {"annotations": False},
        "services": {"gateway": {"enabled": False}},
        "image": {"digest": "sha256:" + "0a" * 32},
        "listenHost": "::",
    },
)
SMALL = over(
    LEAST,
    {
        "topics": {"partitions": 1},
        "bootstrap": {"development": True},
        "services": {name: {"replicas": 2} for name in ("orchestrator", "timer", "gateway")},
        "workers": {"default": {"replicas": 1}},
    },
)

MOVED = over(
    SECURED,
    {
        "topics": {"partitions": 24, "epoch": 1},
        "grow": {
            "enabled": True, "passOn": True, "deadlineSeconds": 7200, "image": {"tag": "1.4.3"},
            "credentials": {"kafka": "grow-kafka", "kafkaTls": "grow-files", "cassandra": "grow-cassandra"},
        },
        "restore": {"enabled": True, "credentials": {"cassandra": "restore-cassandra", "cassandraTls": "restore-files"}},
        "networkPolicy": {
            "dnsTo": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}],
            "dnsPorts": [5353, 53],
        },
    },
)  # fmt: skip

SETS = {
    "least": LEAST, "secured": SECURED, "pools": POOLS, "keda": KEDA, "hpa": HPA, "exposed": EXPOSED, "bare": BARE,
    "small": SMALL, "subscribed": SUBSCRIBED, "followed": FOLLOWED, "moved": MOVED,
}  # fmt: skip
