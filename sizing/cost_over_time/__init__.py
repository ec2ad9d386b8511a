"""What a deployment costs over a week, a month and a year: load by hour, machines by hour, terms of purchase, totals."""
