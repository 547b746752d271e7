pairing {
  max_queries = "many"
}

sink "nmsg" "unit" {
  to    = "stdout:"
  mtu   = "4 parsecs"
  queue = "some MiB"
}

source "dnstap" "long" {
  listen = file("/proc/self/exe")
}
