// The AWS SDK for Go: UpdateEndpoint and PutEvents, read as JSON from standard input; prints the results.
//
// Environment: URL, APP_ID, and the SDK's own AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/pinpoint"
	"github.com/aws/aws-sdk-go-v2/service/pinpoint/types"
)

func main() {
	if err := putEvents(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func putEvents() error {
	var request types.EventsRequest
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return err
	}
	client := pinpoint.New(pinpoint.Options{
		BaseEndpoint: aws.String(os.Getenv("URL")),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	for endpointID, item := range request.BatchItem {
		_, err := client.UpdateEndpoint(context.Background(), &pinpoint.UpdateEndpointInput{
			ApplicationId:   aws.String(os.Getenv("APP_ID")),
			EndpointId:      aws.String(endpointID),
			EndpointRequest: &types.EndpointRequest{ChannelType: types.ChannelTypeEmail, Address: item.Endpoint.Address},
		})
		if err != nil {
			return err
		}
	}
	answer, err := client.PutEvents(context.Background(), &pinpoint.PutEventsInput{
		ApplicationId: aws.String(os.Getenv("APP_ID")),
		EventsRequest: &request,
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer.EventsResponse)
}
