"""The autoscale language of Azure Batch: text to syntax tree to node counts. Values in, values out."""
