//! The whole program, as a user runs it: the binary, a config file, real file servers, real clients.
//!
//! `support/` starts and stops the parts, always on ports the kernel chose; each other module is one
//! subject. A part that is missing on the machine fails its tests, loudly, and never skips them.

mod support;

mod account;
mod backup;
mod bad_input;
mod browser;
mod conformance;
mod demo;
mod doctor;
mod floods;
mod folders;
mod forward_auth;
mod golden;
mod guides;
mod hygiene;
mod kannel;
mod lane;
mod mail;
mod main_job;
mod manual;
mod mounts;
mod observability;
mod openapi;
mod operator;
mod operator_api;
mod operator_document;
mod outside;
mod packages;
mod pages;
mod policy;
mod protocols;
mod races;
mod remember;
mod rules;
mod shares;
mod timing;
mod tokens;
mod top;
mod traces;
mod transfer;
mod tunnels;
mod upgrade;
