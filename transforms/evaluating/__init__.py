"""Parts become metrics, report and manifest; two runs become a comparison."""
