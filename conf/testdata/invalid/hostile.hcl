log {
  level = "‮%s%n<b>" # right-to-left override
}
