admin {
  listen       = "http://127.0.0.1:9353"
  allow_remote = false
}
