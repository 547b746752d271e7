package nmsgjson

import (
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// dnsobs is a base:dnsobs message.
type dnsobs struct {
	Time         uint64 `json:"time"`
	ResponseIP   text   `json:"response_ip"`
	QName        text   `json:"qname"`
	QType        string `json:"qtype"`
	QClass       string `json:"qclass"`
	RCode        string `json:"rcode"`
	Response     []byte `json:"response,omitzero"`
	ResponseJSON any    `json:"response_json,omitempty"`
	QueryZone    text   `json:"query_zone,omitzero"`
	GeoID        []byte `json:"geoid,omitzero"`
	SensorID     string `json:"sensor_id,omitempty"`
}

func (e *Encoder) dnsobs(data []byte) (*dnsobs, error) {
	o, err := nmsg.DecodeDNSObs(data)
	if err != nil {
		return nil, err
	}
	d := &dnsobs{
		Time:       o.Time,
		ResponseIP: e.address(o.ResponseIP),
		QName:      e.name(o.QName),
		QType:      dnstext.Type(uint16(o.QType)),
		QClass:     class(uint16(o.QClass)),
		RCode:      dnstext.Rcode(uint16(o.RCode)),
		Response:   o.Response,
		QueryZone:  e.name(o.QueryZone),
		GeoID:      o.GeoID,
	}
	if o.Response != nil {
		d.ResponseJSON = e.message(o.Response)
	}
	if o.SensorID != nil {
		d.SensorID = strconv.FormatUint(uint64(*o.SensorID), 16)
	}
	return d, nil
}
