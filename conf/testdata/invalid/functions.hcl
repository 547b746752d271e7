source "dnstap" "a" {
  listen = env("PDNS_TEST_NOT_SET")
  owner  = upper("x")
  group  = var.group
}

source "dnstap" "b" {
  listen = env("PDNS_TEST_UNSAID")
  mode   = file("no/such/file")
  owner  = file("/dev/null")
  group  = env()
}

sink "nmsg" "a" {
  to  = env("PDNS_TEST_UNSAID")
  mtu = { x = 1 }[env("PDNS_TEST_UNSAID")]
}

scrub {
  local_names    = ["corp.example", env("PDNS_TEST_UNSAID")]
  local_networks = [env("PDNS_TEST_UNSAID")]
  special_names  = env("PDNS_TEST_UNSAID")
}

source "dnstap" "c" {
  listen = file(env("PDNS_TEST_UNSAID"))
}
