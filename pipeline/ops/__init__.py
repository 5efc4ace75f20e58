"""Pure image operations: arrays in, arrays out. They know neither PyTorch nor Luigi nor the disk."""
