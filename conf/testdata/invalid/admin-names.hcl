admin {
  host_names = ["http://sensor.example", "sensor.example:9353", ""]
}
