admin {
  listen       = "127.0.0.1:0"
  allow_remote = false
}
