package kafka

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheTopicOfAFakeEndsAFailure of a member that has no partition, and so reads nothing.
func TestTheTopicOfAFakeEndsAFailure(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "records"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	s := New(Config{Topic: "records"}, nil, slog.New(slog.DiscardHandler))
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...)); err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	s.failed(connecting, errors.New("a broker was away"))
	if s.findTopic(t.Context()); s.Stats().Error == "" {
		t.Error("the topic ended the failure to join the group")
	}
	s.account.joined(0, false)
	if s.findTopic(t.Context()); s.Stats().Error != "" {
		t.Errorf("the member still fails: %s", s.Stats().Error)
	}
}
