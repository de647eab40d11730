"""Tests on real engines and schedulers: Flink, Prism, Dataflow's launcher, Airflow."""
