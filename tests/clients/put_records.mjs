// The AWS SDK for JavaScript v3: texts from standard input to Firehose's PutRecordBatch and to Kinesis' PutRecords; prints both answers.
import { readFileSync } from "node:fs";
import { FirehoseClient, PutRecordBatchCommand } from "@aws-sdk/client-firehose";
import { KinesisClient, PutRecordsCommand } from "@aws-sdk/client-kinesis";

const { firehose, kinesis } = JSON.parse(readFileSync(0, "utf8"));
const options = { region: "us-east-1", endpoint: process.env.URL };
// Kinesis' client speaks HTTP/2 to AWS; whoever gives another address gives the handler that speaks HTTP/1.1 to it.
const { NodeHttpHandler } = await import("@smithy/node-http-handler");
const bytes = (text) => new TextEncoder().encode(text);
const batch = await new FirehoseClient(options).send(new PutRecordBatchCommand({
  DeliveryStreamName: "clicks", Records: firehose.map((text) => ({ Data: bytes(text) })),
}));
const records = await new KinesisClient({ ...options, requestHandler: new NodeHttpHandler() }).send(new PutRecordsCommand({
  StreamName: "clicks", Records: kinesis.map((text, place) => ({ Data: bytes(text), PartitionKey: `key-${place}` })),
}));
console.log(JSON.stringify({ firehose: batch.FailedPutCount, kinesis: records.FailedRecordCount }));
