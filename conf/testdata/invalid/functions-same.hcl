source "dnstap" "a" {
  listen = "unix://${env("PDNS_TEST_DIR")}/a.sock"
}

source "dnstap" "b" {
  listen = "unix://${env("PDNS_TEST_DIR")}/../${env("PDNS_TEST_BASE")}/a.sock"
}
