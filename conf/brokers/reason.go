package brokers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// Reason explains an error of a client: without addresses, secrets and texts of the broker, and
// with what to do where that is known.
func Reason(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[passwordError](err); ok {
		return err
	}
	if answered, ok := errors.AsType[*kerr.Error](err); ok {
		return answerReason(answered)
	}
	if closed, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return closeReason(closed)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return errPlaintextBroker
	}
	switch text := err.Error(); {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the brokers did not answer in time")
	case strings.Contains(text, "tls alert record"):
		return errTLSBroker
	case strings.Contains(text, "beginning of an HTTP response"):
		return errors.New("an HTTP server answered: is the port that of a broker?")
	case strings.Contains(text, "invalid large response size"), strings.Contains(text, "invalid negative response size"):
		return errors.New("the answer is not that of a Kafka broker: is the port right?")
	case strings.Contains(text, "server sent authentication error"), strings.Contains(text, "server signature mismatch"):
		return errWrongPassword
	}
	if reason := certs.Reason(err); reason != err {
		return reason
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the broker closed the connection: if it does so every time, check sasl (user, password, mechanism) and tls")
	}
	return err
}

var (
	errPlaintextBroker = errors.New("the broker does not speak TLS on this port: remove tls, or use the broker's port for TLS")
	errTLSBroker       = errors.New("the broker speaks TLS on this port: set tls")
	errWrongPassword   = errors.New("the broker refuses the user: check sasl (user, password, mechanism)")
)

// closeReason explains why a broker closed a connection before its first response. The text is the
// only part of the error that says when.
func closeReason(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "after a dial"):
		return errPlaintextBroker
	case strings.Contains(text, "api versions"):
		return errors.New("the broker closed the connection at once: does it require TLS (tls)?")
	}
	return errors.New("the broker closed the connection before it answered: does it require SASL (sasl), or is the password wrong?")
}

// answers are reasons of errors with which brokers answer.
var answers = map[*kerr.Error]string{
	kerr.SaslAuthenticationFailed:           errWrongPassword.Error(),
	kerr.UnsupportedSaslMechanism:           "the broker does not support this mechanism of SASL, or not on this port: set sasl.mechanism to another one",
	kerr.IllegalSaslState:                   "the broker does not expect SASL on this port: remove sasl, or use the broker's port for SASL",
	kerr.UnknownTopicOrPartition:            "the cluster has no such topic, or the user may not see it: create the topic, or check its name",
	kerr.UnknownTopicID:                     "the topic was deleted, and possibly created again",
	kerr.InvalidTopicException:              "the cluster does not accept the name of the topic",
	kerr.TopicAuthorizationFailed:           "the user is not authorized for the topic: a sink needs WRITE and DESCRIBE, a source READ",
	kerr.GroupAuthorizationFailed:           "the user is not authorized for the consumer group: a source needs READ",
	kerr.ClusterAuthorizationFailed:         "the user is not authorized for idempotent writes: brokers before Kafka 3.0 need IDEMPOTENT_WRITE on the cluster",
	kerr.MessageTooLarge:                    "a message is larger than the topic accepts: set max.message.bytes of the topic to at least 300000, or mtu of the sink to less",
	kerr.RecordListTooLarge:                 "messages are larger than a segment of the topic: set segment.bytes of the topic to more",
	kerr.NotEnoughReplicas:                  "the topic has fewer in-sync replicas than min.insync.replicas: are all brokers up?",
	kerr.NotEnoughReplicasAfterAppend:       "the topic has fewer in-sync replicas than min.insync.replicas: are all brokers up?",
	kerr.LeaderNotAvailable:                 "a partition of the topic has no leader: are all brokers up?",
	kerr.KafkaStorageError:                  "a disk of a broker fails",
	kerr.RequestTimedOut:                    "the in-sync replicas did not take the messages in time: are all brokers up, and fast enough?",
	kerr.PolicyViolation:                    "a policy of the cluster refuses the messages",
	kerr.InvalidRecord:                      "the topic refuses messages without a key, or with this format: is it compacted (cleanup.policy)?",
	kerr.UnsupportedForMessageFormat:        "the topic has a message format from before Kafka 0.11, which idempotent writes cannot use",
	kerr.UnsupportedVersion:                 "the broker is too old: Kafka 0.11 or later is needed",
	kerr.UnsupportedCompressionType:         "the topic does not accept the compression of the messages",
	kerr.TransactionalIDAuthorizationFailed: "the user is not authorized for idempotent writes",
}

// answerReason explains an error with which a broker answered. The text that the broker adds is not
// shown.
func answerReason(err *kerr.Error) error {
	text, ok := answers[err]
	if !ok {
		text = strings.TrimSuffix(err.Description, ".")
	}
	return fmt.Errorf("%s (%s)", text, err.Message)
}
