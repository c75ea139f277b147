//! How the program writes its log.
