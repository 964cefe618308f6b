//! The rules of a commit, without clock or socket.
