"""The places that raw rows come from: files, SQL, the complaint API, a simulation."""
