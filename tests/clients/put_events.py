"""boto3: UpdateEndpoint and PutEvents, read as JSON from standard input; prints the results."""

import json
import os
import sys

import boto3

given = json.load(sys.stdin)
client = boto3.client("pinpoint", endpoint_url=os.environ["URL"], region_name="us-east-1")
for endpoint_id, item in given["BatchItem"].items():
    update = {"ChannelType": "EMAIL", "Address": item["Endpoint"]["Address"]}
    client.update_endpoint(ApplicationId=os.environ["APP_ID"], EndpointId=endpoint_id, EndpointRequest=update)
print(json.dumps(client.put_events(ApplicationId=os.environ["APP_ID"], EventsRequest=given)["EventsResponse"]))
