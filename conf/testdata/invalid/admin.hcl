# The mistake of admin that matters, and a lesser one; admin-*.hcl have the others.
admin {
  listen = "0.0.0.0:9353"
  pprof  = "perhaps"
}
