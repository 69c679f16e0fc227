// SPDX-License-Identifier: Apache-2.0
// The partition that Kafka's own client chooses for each line as key: `java -cp JARS Partitions.java PARTITIONS <KEYS`.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

class Partitions {
    public static void main(String[] arguments) throws Exception {
        BufferedReader keys = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String key = keys.readLine(); key != null; key = keys.readLine())
            System.out.println(BuiltInPartitioner.partitionForKey(key.getBytes(StandardCharsets.UTF_8), Integer.parseInt(arguments[0])));
    }
}
