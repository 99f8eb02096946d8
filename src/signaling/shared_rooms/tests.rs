mod client;
mod links;
mod simulation;
mod stories;
mod world;
