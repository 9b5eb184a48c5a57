import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteBufferSerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Start orders and approve them: Kafka's own client, Avro's own library, and the schemas.
 *
 * <pre>
 * javac -cp 'jars/*' StartOrders.java
 * java -cp 'jars/*:.' StartOrders 127.0.0.1:9092 perdure ../../../schemas order-7 order-8
 * </pre>
 *
 * The jars are org.apache.kafka:kafka-clients and org.apache.avro:avro with what they need. Avro's BinaryMessageEncoder
 * writes the single-object encoding; this client's default partitioner and idempotence are what the contract wants.
 */
public final class StartOrders {
    private final String topic;
    private final File schemas;
    private final KafkaProducer<String, ByteBuffer> producer;

    private StartOrders(String servers, String namespace, File schemas) {
        this.topic = namespace + ".instances";
        this.schemas = schemas;
        Properties settings = new Properties();
        settings.put("bootstrap.servers", servers);
        this.producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteBufferSerializer());
    }

    /** A command whose fields all have their defaults, but for those that must be given. */
    private GenericRecordBuilder command(String name) throws IOException {
        return new GenericRecordBuilder(new Schema.Parser().parse(new File(schemas, "command/" + name + ".avsc")));
    }

    private void send(String order, GenericRecord command) throws IOException {
        ByteBuffer value =
                new BinaryMessageEncoder<GenericRecord>(GenericData.get(), command.getSchema()).encode(command);
        producer.send(new ProducerRecord<>(topic, order, value), (written, error) -> {
            if (error != null) {
                System.err.println(order + ": " + error + ": run this again");
                System.exit(1);
            }
        });
    }

    private void startAndApprove(String order) throws IOException {
        send(order, command("StartWorkflow")
                .set("name", "order_workflow")
                .set("input", "{\"id\": \"" + order + "\"}")
                .set("command_id", "start/" + order)
                .build());
        send(order, command("RaiseEvent")
                .set("name", "approved")
                .set("data", "{\"by\": \"java\"}")
                .set("command_id", "approve/" + order)
                .build());
    }

    public static void main(String[] arguments) throws IOException {
        StartOrders orders = new StartOrders(arguments[0], arguments[1], new File(arguments[2]));
        for (int place = 3; place < arguments.length; place++) {
            orders.startAndApprove(arguments[place]);
        }
        orders.producer.close();
        System.out.println(2 * (arguments.length - 3) + " commands are in the log");
    }
}
