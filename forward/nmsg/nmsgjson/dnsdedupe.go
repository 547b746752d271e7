package nmsgjson

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// dnsdedupe is a SIE:dnsdedupe message.
type dnsdedupe struct {
	Type          any     `json:"type,omitempty"`
	Count         *uint64 `json:"count,omitempty"`
	TimeFirst     text    `json:"time_first,omitzero"`
	TimeLast      text    `json:"time_last,omitzero"`
	ZoneTimeFirst text    `json:"zone_time_first,omitzero"`
	ZoneTimeLast  text    `json:"zone_time_last,omitzero"`
	ResponseIP    text    `json:"response_ip,omitzero"`
	Bailiwick     text    `json:"bailiwick,omitzero"`
	RRName        text    `json:"rrname,omitzero"`
	RRClass       string  `json:"rrclass,omitempty"`
	RRType        string  `json:"rrtype,omitempty"`
	RRTTL         *uint32 `json:"rrttl,omitempty"`
	RData         []text  `json:"rdata"`
	Response      []byte  `json:"response,omitzero"`
}

func (e *Encoder) dnsdedupe(data []byte) (*dnsdedupe, error) {
	in, err := nmsg.DecodeDNSDedupe(data)
	if err != nil {
		return nil, err
	}
	d := &dnsdedupe{
		Count:         in.Count,
		TimeFirst:     e.seconds(in.TimeFirst),
		TimeLast:      e.seconds(in.TimeLast),
		ZoneTimeFirst: e.seconds(in.ZoneTimeFirst),
		ZoneTimeLast:  e.seconds(in.ZoneTimeLast),
		Bailiwick:     e.name(in.Bailiwick),
		RRName:        e.name(in.RRName),
		RRTTL:         in.RRTTL,
		Response:      in.Response,
	}
	if in.Typed {
		d.Type = enum(in.Type.String())
	}
	if in.ResponseIP.IsValid() {
		d.ResponseIP = e.address(in.ResponseIP)
	}
	var rrtype, rrclass uint16
	if in.RRType != nil {
		rrtype = uint16(*in.RRType)
		d.RRType = dnstext.Type(rrtype)
	}
	if in.RRClass != nil {
		rrclass = uint16(*in.RRClass)
		d.RRClass = class(rrclass)
	}
	first := len(e.texts)
	for _, r := range in.RData {
		e.texts = append(e.texts, e.textOf(dnstext.AppendRdata(e.text, rrtype, rrclass, r, dnstext.WDNS)))
	}
	d.RData = list(e.texts[first:])
	return d, nil
}

// seconds returns a time in seconds since the Unix epoch, in UTC, or nil if it is absent.
func (e *Encoder) seconds(t *uint32) text {
	if t == nil {
		return nil
	}
	return e.textOf(time.Unix(int64(*t), 0).UTC().AppendFormat(e.text, time.DateTime))
}
