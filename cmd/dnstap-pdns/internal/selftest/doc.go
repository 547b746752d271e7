// Package selftest proves on a running sensor that what is to leave does, and that what
// is to stay does not: it watches every lane and every sink for two names that nobody
// else asks for, and says where each came to an end.
//
// The sensor's side is [New], which answers one POST at a time: a line once both names
// are watched for, and another with the [Verdict]. The other side draws the names
// ([Draw]), and asks a resolver for them ([Ask]) in between.
//
// A verdict says what became of the two names and nothing of any other. What is
// watched for must begin with a label that no user's query has, so that nobody can
// learn here what a resolver is asked. The package keeps nothing and prints nothing.
package selftest
