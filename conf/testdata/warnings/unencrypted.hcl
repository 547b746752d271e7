# Records that leave without encryption.
source "dnstap" "tap" {
  listen = "unix:///run/tap.sock"
}
scrub {
  resolvers      = ["192.0.2.53"]
  local_names    = []
  local_networks = []
}
sink "nmsg" "plain" {
  to      = "ws://203.0.113.9/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
}
sink "nmsg" "here" {
  to      = "ws://localhost:8080/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
}
sink "dnstap" "stream" {
  to = "tcp://203.0.113.9:6000"
}
sink "dnstap" "local" {
  to = "tcp://[::1]:6000"
}
sink "dnstap" "encrypted" {
  to = "tcp://203.0.113.9:6000"
  tls {}
}
