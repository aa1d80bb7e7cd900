"""Files of programs of electron microscopes, which are only read: Gatan's, Velox, Berkeley EMD and TIA."""
