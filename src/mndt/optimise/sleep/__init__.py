"""Cell sleep: which cells are on, asleep or off in each slot, so that demand is served with little energy."""
