sink "dnstap" "datagrams" {
  to = "udp://192.0.2.1:6000"
}

sink "dnstap" "relative" {
  to      = "unix://tap.sock"
  message = "dnstap"
  zlib    = true
}

sink "dnstap" "long" {
  to       = "unix:///run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sock"
  identity = "sensor\n7"
  version  = 7
}

sink "dnstap" "port" {
  to = "tcp://192.0.2.1"
}

sink "dnstap" "socket" {
  to     = "unix:///run/tap.sock"
  rotate = "1h"
  tls {}
}

sink "dnstap" "key" {
  to = "tcp://192.0.2.1:6000"
  tls {
    key = "key.pem"
  }
}

sink "dnstap" "spooled" {
  to = "tcp://192.0.2.1:6000"
  tls {}
  spool {
    dir = "/var/lib/x"
  }
}

sink "dnstap" "same-name" {
  to = "file:///var/lib/x/%Y%m%d.fstrm"
}
