"""What several rooms of tests share: networks, servers, made-up data."""
