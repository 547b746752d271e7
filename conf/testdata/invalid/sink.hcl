sink "nmsg" "scheme" {
  to = "http://example.net/"
}

sink "nmsg" "port" {
  to  = "udp://192.0.2.1:0"
  mtu = 511
}

sink "nmsg" "relative" {
  to = "file://out.nmsg"
}

sink "nmsg" "same-name" {
  to = "file:///var/lib/x/%Y%m%d.nmsg"
}

sink "nmsg" "no-time" {
  to     = "file:///var/lib/x/out.nmsg"
  rotate = "90m"
}

sink "nmsg" "pattern" {
  to = "file:///var/lib/x/100%.nmsg"
}

sink "nmsg" "control" {
  to = "file:///var/lib/x/\n%Y%m%dT%H%M%S"
}

sink "nmsg" "datagram" {
  to      = "udp://192.0.2.1:9430"
  mtu     = 65508
  rotate  = "1h"
  message = "DNSQR"

  rotate_size = "256MiB"
  on_rotate   = ["upload"]
}

sink "nmsg" "values" {
  to     = "file:///var/lib/x/%s.nmsg"
  mtu    = "2MiB"
  flush  = "0s"
  queue  = "1MB"
  zlib   = 1
  rotate = "500ms"

  rotate_size = "1023KiB"
  on_rotate   = ["upload --quiet"]
}

sink "nmsg" "types" {
  to     = ["stdout:"]
  mtu    = true
  flush  = "-1s"
  queue  = "9999999999GiB"
  zlib   = "maybe"
  rotate = "1 day"
}

sink "nmsg" "commands" {
  to          = "file:///var/lib/y/%Y%m%dT%H%M%S.nmsg"
  rotate_size = 0
  on_rotate   = ["bin/upload", "x"]
}

sink "nmsg" "no-program" {
  to        = "file:///var/lib/z/%Y%m%dT%H%M%S.nmsg"
  on_rotate = ["", "x\u0000y"]
}

sink "nmsg" "shell" {
  to        = "file:///var/lib/zz/%Y%m%dT%H%M%S.nmsg"
  on_rotate = "upload %f"
}

sink "nmsg" "keep-datagrams" {
  to = "udp://192.0.2.1:9431"
  keep {
    age = "1h"
  }
}

sink "nmsg" "keep-nothing" {
  to = "file:///var/lib/zzz/%Y%m%dT%H%M%S.nmsg"
  keep {}
}

sink "nmsg" "keep-wrong" {
  to = "file:///var/lib/zzzz/%Y%m%dT%H%M%S.nmsg"
  keep {
    age  = "59s"
    size = "1GB"
  }
}
