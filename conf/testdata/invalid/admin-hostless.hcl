admin {
  listen       = ":9353"
  allow_remote = false
}
