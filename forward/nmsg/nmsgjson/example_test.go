package nmsgjson_test

import (
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
)

func ExampleEncoder_Append() {
	var e nmsgjson.Encoder
	m := nmsg.Message{Vendor: nmsg.VendorSIE, Type: 42, Sec: 1_700_000_000, Source: 0xa1ba02cf, Data: []byte("opaque")}
	line, err := e.Append(nil, m)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(string(line))
	// Output:
	// {"time":"2023-11-14 22:13:20.000000000","vname":"SIE","mname":"(unknown)","source":"a1ba02cf","vid":2,"msgtype":42,"payload":"b3BhcXVl"}
}
