package brokers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FindTopic asks the brokers of a client for a topic, until ctx ends. An error, which Reason
// explains, states that they do not answer, or that there is no such topic for the user.
func FindTopic(ctx context.Context, client *kgo.Client, name string) error {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for i := range response.Topics {
		if err := kerr.ErrorForCode(response.Topics[i].ErrorCode); err != nil {
			return err
		}
	}
	return nil
}
