source "dnstap" "a" {
  listen = env("PDNS_TEST_NOT_SET")
  owner  = upper("x")
  group  = var.group
}

source "dnstap" "b" {
  listen = env("PDNS_TEST_HIDDEN")
  mode   = file("no/such/file")
  owner  = file("/dev/null")
  group  = env()
}

sink "nmsg" "a" {
  to  = env("PDNS_TEST_HIDDEN")
  mtu = { x = 1 }[env("PDNS_TEST_HIDDEN")]
}

scrub {
  local_names    = ["corp.example", env("PDNS_TEST_HIDDEN")]
  local_networks = [env("PDNS_TEST_HIDDEN")]
  special_names  = env("PDNS_TEST_HIDDEN")
}

source "dnstap" "c" {
  listen = file(env("PDNS_TEST_HIDDEN"))
}
