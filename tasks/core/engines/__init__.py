"""Those who work elsewhere than in processes of this machine: GPUs, Dask, SLURM."""
