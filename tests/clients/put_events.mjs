// The AWS SDK for JavaScript v3: UpdateEndpoint and PutEvents, read as JSON from standard input; prints the results.
import { readFileSync } from "node:fs";
import { PinpointClient, PutEventsCommand, UpdateEndpointCommand } from "@aws-sdk/client-pinpoint";

const given = JSON.parse(readFileSync(0, "utf8"));
const ApplicationId = process.env.APP_ID;
const client = new PinpointClient({ region: "us-east-1", endpoint: process.env.URL });
for (const [EndpointId, item] of Object.entries(given.BatchItem)) {
  const EndpointRequest = { ChannelType: "EMAIL", Address: item.Endpoint.Address };
  await client.send(new UpdateEndpointCommand({ ApplicationId, EndpointId, EndpointRequest }));
}
const answer = await client.send(new PutEventsCommand({ ApplicationId, EventsRequest: given }));
console.log(JSON.stringify(answer.EventsResponse));
