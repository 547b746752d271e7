pairing {
  timeout = "60s"
  timeout = "50s"
}
