"""The broker simulator: a process that speaks the KIS API and trades on a replayed or modelled market."""
