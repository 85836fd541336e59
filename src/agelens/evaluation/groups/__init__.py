"""Who is compared with whom: columns of groups, their crossings, and how far apart groups are."""
