"""The online half: decode, score and judge samples against a verified bundle. Loads neither torch nor `training`."""
