package stream

// A queue is a doubly linked list, oldest first. The nodes are fields of the elements, so
// that moving an element to the end does not allocate.
type queue[T any] struct {
	front, back *node[T]
	len         int
}

// A node is in at most one queue.
type node[T any] struct {
	prev, next *node[T]
	in         *queue[T]
	of         *T
}

func (n *node[T]) remove() {
	q := n.in
	if q == nil {
		return
	}
	if n.prev == nil {
		q.front = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		q.back = n.prev
	} else {
		n.next.prev = n.prev
	}
	q.len--
	n.prev, n.next, n.in = nil, nil, nil
}

// push moves n from its queue to the end of q.
func (q *queue[T]) push(n *node[T]) {
	if q.back == n {
		return
	}
	n.remove()
	q.insert(n, q.back)
}

// insert adds n, which is in no queue, after prev, or as the first if prev is nil.
func (q *queue[T]) insert(n, prev *node[T]) {
	n.in, n.prev, n.next = q, prev, q.front
	if prev == nil {
		q.front = n
	} else {
		n.next, prev.next = prev.next, n
	}
	if n.next == nil {
		q.back = n
	} else {
		n.next.prev = n
	}
	q.len++
}

// first returns the oldest element, or nil.
func (q *queue[T]) first() *T {
	if q.front == nil {
		return nil
	}
	return q.front.of
}
