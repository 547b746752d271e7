sink "nmsg" "file" {
  to   = "file:///var/lib/x/%Y%m%dT%H%M%S.nmsg"
  rate = 1000
}

sink "nmsg" "pipe" {
  to   = "stdout:"
  rate = 0
}

sink "nmsg" "negative" {
  to   = "udp://192.0.2.1:9430"
  rate = -1
}

sink "nmsg" "fraction" {
  to   = "udp://192.0.2.1:9430"
  rate = 0.5
}

sink "nmsg" "unit" {
  to   = "udp://192.0.2.1:9430"
  rate = "1000/s"
}
