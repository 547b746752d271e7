package present

import (
	"net/netip"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// dnsobs writes the members of a base:dnsobs message.
func (w *writer) dnsobs(data []byte) error {
	o, err := nmsg.DecodeDNSObs(data)
	if err != nil {
		return err
	}
	w.key("time")
	w.uint(o.Time)
	w.key("response_ip")
	w.addr(o.ResponseIP)
	w.key("qname")
	w.name(o.QName)
	w.key("qtype")
	w.typ(uint16(o.QType))
	w.key("qclass")
	w.payloadClass(uint16(o.QClass))
	w.key("rcode")
	w.rcode(uint16(o.RCode))
	if o.Response != nil {
		w.key("response")
		w.base64(o.Response)
		w.key("response_json")
		w.dns(o.Response)
	}
	if o.QueryZone != nil {
		w.key("query_zone")
		w.name(o.QueryZone)
	}
	if o.GeoID != nil {
		w.key("geoid")
		w.base64(o.GeoID)
	}
	if o.SensorID != nil {
		w.key("sensor_id")
		w.string(strconv.FormatUint(uint64(*o.SensorID), 16))
	}
	return nil
}

func summarizeDNSObs(data []byte) (summary, error) {
	o, err := nmsg.DecodeDNSObs(data)
	if err != nil {
		return summary{}, err
	}
	rcode := uint16(o.RCode)
	return summary{
		server:   netip.AddrPortFrom(o.ResponseIP, 0),
		qname:    o.QName,
		qtype:    uint16(o.QType),
		qclass:   uint16(o.QClass),
		rcode:    &rcode,
		zone:     o.QueryZone,
		response: o.Response,
	}, nil
}
