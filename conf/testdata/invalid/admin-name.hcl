admin {
  listen       = "sensor.example.net:9353"
  allow_remote = false
}
