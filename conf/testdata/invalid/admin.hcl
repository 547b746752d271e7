# The one mistake of admin that matters, and a lesser one; the others are beside this.
admin {
  listen = "0.0.0.0:9353"
  pprof  = "perhaps"
}
