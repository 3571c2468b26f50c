//! The path of a message, from outside: a client's bytes in, and out come the reply, what the
//! server saw, one row and the metrics.

mod apart;
mod connect;
mod conversation;
mod denials;
mod evidence;
mod fixture;
mod inputs;
mod lists;
mod lockdown;
mod logs;
mod obligations;
mod outcomes;
mod parity;
mod ports;
mod record;
mod replicas;
mod server;
mod sessions;
mod state;
mod stateless;
mod streams;
