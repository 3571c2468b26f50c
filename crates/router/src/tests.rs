//! The path of a message, from outside: a client's bytes in, and out come the reply, what the
//! server saw, one row and the metrics.

mod apart;
mod conversation;
mod fixture;
mod inputs;
mod lists;
mod logs;
mod outcomes;
mod ports;
mod record;
mod replicas;
mod server;
mod sessions;
mod stateless;
mod streams;
