# Values of functions are never printed.
source "dnstap" "local" {
  listen          = "unix://${env("PDNS_TEST_DIR")}/dnstap.sock"
  max_connections = env("PDNS_TEST_NUMBER")
}
scrub {
  local_names = [
    env("PDNS_TEST_NAME"), # set by the unit
    file("secret.txt"),
  ]
  special_names = env("PDNS_TEST_FLAG")
}
sink "nmsg" "out" {
  to = env("PDNS_TEST_HIDDEN") == "" ? "stdout:" : "udp://127.0.0.1:9430"
}
