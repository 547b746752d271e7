# Nothing is decided, and the sources are open to others.
source "dnstap" "tap" {
  listen = "unix:///run/tap.sock"
  mode   = "0666"
}
source "dnstap" "remote" {
  listen = "tcp://203.0.113.9:6000"
}
source "dnstap" "encrypted" {
  listen = "tcp://203.0.113.9:6001"
  tls {
    cert = "cert.pem"
    key  = "key.pem"
  }
}
source "pcap" "span" {
  interface = "eth1"
  resolvers = ["10.0.0.53"]
}
source "pcap" "again" {
  interface = "eth1"
  resolvers = ["10.0.0.0/24"]
  when      = "idle"
}
